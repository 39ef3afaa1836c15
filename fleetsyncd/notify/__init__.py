"""Notices become messages, and messages are sent.

digest.py   what one message says
targets.py  whom messages are sent to: mail, chat, push and webhooks, by the library apprise
"""
