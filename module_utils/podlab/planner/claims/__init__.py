"""PersistentVolumeClaims: which there shall be, and on which node each of them is a directory."""
