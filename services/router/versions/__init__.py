"""The stored versions of the policy: how one is checked, kept and put in force."""
