"""The outside world: the one outgoing HTTP client with its egress guard, the client that performs calls, and mail."""
