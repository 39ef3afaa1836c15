"""The schema: made by `migrate`, checked by `doctor`."""
