"""Qualification: a machine is proven by crashing it, and the dump is proven to be of that crash.

Nothing in here does anything unless a host is named by ``--crash=HOST`` on the command line itself.
"""
