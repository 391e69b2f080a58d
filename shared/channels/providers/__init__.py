"""What a provider's channels share: signatures, handshakes, envelopes."""
