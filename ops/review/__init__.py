"""A deployment's changes as a reviewer reads them: `make preview` and `make drift`.

`preview` runs Pulumi's preview and reads its events. `step`, `differences` and `changes` describe
one step of it in the terms of Swarm and Traefik, without a secret. `report` makes Markdown of all
steps, which `comment` puts on a pull or merge request.
"""
