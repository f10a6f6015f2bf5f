"""Traefik: its options, and the labels by which it finds services."""
