"""What lies on disk and in the database: runs, their manifests, the cache, and decisions."""
