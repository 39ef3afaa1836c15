"""All that speaks to a vehicle.

client.py       one vehicle's API: deadline, limits, errors
answer.py       how long and how encoded an answer may be, and its body
adapter.py      the kept connection under requests
refusals.py     what an HTTP status other than 200 means
http_errors.py  errors of the HTTP libraries as VehicleErrors
redaction.py    keeps the API key out of answers
key_finder.py   the key in a text, in any notation
decode.py       answers as telemetry, bad rows apart
measurement_rows.py  the rows of /data
notations.py    integers and times that are written in other ways
parsing.py      damaged JSON, entry by entry
cpu_slices.py   the CPU time that one answer may take
probe.py        the four calls, tried and judged
"""
