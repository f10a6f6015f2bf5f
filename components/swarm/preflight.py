"""What a deployment needs, looked at before anything is made. Nothing is touched for it.

Ports, images and space are asked for only while they aren't in use yet: a proxy that runs has its
ports.
"""

from __future__ import annotations



