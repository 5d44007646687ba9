"""Content-addressed data: what stages read and write, kept by digest here and elsewhere.

`cache` holds the objects on this disk, in the folder and under the names that DVC uses; its parts are `objects`,
`links`, `storing`, `restoring` and `state`.
`remotes` are storages elsewhere, one file per kind; `transfer` moves objects between the two.
"""
