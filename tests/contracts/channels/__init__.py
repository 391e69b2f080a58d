"""Every channel's payloads against its adapter, and the behaviour all adapters share."""

import pytest

pytest.register_assert_rewrite("tests.contracts.channels.behaviour")
