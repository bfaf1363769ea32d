"""The native interface under `/api`: everything the node tells, for dashboards and programs of one's own."""
