"""`make adopt STACK=… FROM=…`: a registry of docker-compose or `docker stack` becomes a stack.

`original` finds the registry that runs, `configuration`, `route` and `logins` read it, `planning`
makes the `plan` of what becomes of it, and `takeover` carries that out once a person agrees.
"""
