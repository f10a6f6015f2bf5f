"""A registry that docker-compose or `docker stack` runs, taken over: `make adopt STACK=… FROM=…`.

`original` looks at what runs, `route` and `configuration` read it, `plan` says what becomes of it,
and `takeover` does that once somebody has agreed.
"""
