"""Blobs by SHA-256: kept within a quota, fetched from several sources at once, checked as they come."""
