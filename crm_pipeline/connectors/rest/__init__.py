"""CRMs that are described by a file, `sources/<name>.yaml`, and read without code of their own."""
