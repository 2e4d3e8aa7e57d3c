"""Matching of queries with objects: costs, exact assignment, and margins of the matched pairs."""
