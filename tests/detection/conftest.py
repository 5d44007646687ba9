"""The sample projects are data: pytest does not collect what stands in them."""

collect_ignore_glob = ["projects/*"]
