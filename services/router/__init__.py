"""Consumes messages.received and deliveries.reported.

Produces cases.changed.
Owns customers, identities, cases, deadlines, policies.
"""
