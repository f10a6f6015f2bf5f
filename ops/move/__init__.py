"""`make move`: the images of a stack go elsewhere while they are in use.

`nodes` moves them from a volume of one node to that of another, `storages` to another storage, such
as a bucket. `route` and `storage_route` are where they are and go to, `gate` leads requests to
where writes wait, and `copying` runs the program that copies.
"""
