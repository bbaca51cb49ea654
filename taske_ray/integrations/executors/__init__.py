"""What modules do that no HTTP request can say: mail and databases, each by its own protocol and no other.

They speak on sockets that `transport.py` has dialled, so the egress guard has seen every address (security, 10.9).
"""
