"""Readers of datasets as they are downloaded, a module a layout; `opening` knows them by their prefixes."""
