"""`python -m rollcore` is the command `rollcore`."""

from rollcore.entry import rollcore

rollcore()
