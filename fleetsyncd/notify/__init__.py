"""Notices become messages, and messages are sent.

bounded.py      what services of apprise send by: of an answer only the beginning is read
digest.py       what one message says
library_log.py  what apprise says in its log, for the caller alone
masking.py      what apprise says, without secrets
names.py        what targets are called
refusals.py     why a target has not taken a message
targets.py      whom messages are sent to: mail, chat, push and webhooks, by the library apprise
"""
