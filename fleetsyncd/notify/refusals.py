"""Why a target has not taken a message, and what follows from it."""

from datetime import timedelta
from http import HTTPStatus

RATE_LIMIT_PAUSE = timedelta(minutes=5)
"""One that gets too many messages, and does not say for how long, is left alone for so long."""
_OF_THE_TARGET = frozenset({401, 403, 404, 407, 408, 429, 421, 450, 451, 452, 454, 455})
"""What any message would be answered: a wrong secret or address, too many; by mail, try later."""
_BY_MAIL = frozenset({550, 552, 554})
"""What a mail server answers to a message that is too long, or looks like one nobody wants."""


class NotSent(Exception):
    """A target has not taken a message; the text has no secret.

    `pause` is for how long it wants to be left alone, if it says so; `status` that of its answer.
    """

    def __init__(
        self, text: str, pause: timedelta | None = None, status: int | None = None
    ) -> None:
        super().__init__(text)
        self.pause = pause
        self.status = status

    @property
    def least_pause(self) -> timedelta:
        """For how long it is left alone at least."""
        if self.pause is not None:
            return self.pause
        too_many = self.status == HTTPStatus.TOO_MANY_REQUESTS
        return RATE_LIMIT_PAUSE if too_many else timedelta(0)

    @property
    def is_for_content(self) -> bool:
        """Whether the target may take another text, or a shorter one."""
        if self.status is None or self.status in _OF_THE_TARGET:
            return False
        # Some services answer 200, and say in the answer that they take no such text.
        is_answered = HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES
        is_refused = HTTPStatus.BAD_REQUEST <= self.status < HTTPStatus.INTERNAL_SERVER_ERROR
        return is_answered or is_refused or self.status in _BY_MAIL
