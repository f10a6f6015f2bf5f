"""The run of Pulumi that this is: its operation, and what the state has of the last one."""
