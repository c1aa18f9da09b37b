"""The benchmark: portcullis beside its peers. The standard library only."""
