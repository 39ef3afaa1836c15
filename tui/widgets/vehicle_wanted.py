"""The message that asks for the page of a vehicle."""

from uuid import UUID

from textual.message import Message


class VehicleWanted(Message):
    """The operator wants the page of the vehicle of a row."""

    def __init__(self, vehicle_id: UUID) -> None:
        super().__init__()
        self.vehicle_id = vehicle_id
