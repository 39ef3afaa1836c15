"""Notices become messages, and messages are sent.

bounded.py  what services of apprise send by: of an answer only the beginning is read
digest.py   what one message says
targets.py  whom messages are sent to: mail, chat, push and webhooks, by the library apprise
"""
