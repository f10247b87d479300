"""Tests on the running platform; a package, so that it ends with them."""
