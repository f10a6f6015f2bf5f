"""`make doctor`: checks of a deployed registry from this machine, and of its object store.

`checks` has the table of what a client meets, by subject in `connection`, `access` and `uploads`.
`store_trial` writes to the `store` of a stack, before anything is deployed; `store_errors` explains
what goes wrong.
"""
