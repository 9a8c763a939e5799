# Included by the Makefile.

.PHONY: images
images: $(STAMP) ## Build the images: operator, simulator, pause (needs root, buildah and Go; kept until something changes)
	@tools/install-system-packages node
	@$(BIN)/python -m workbench.node --images

.PHONY: node
node: $(STAMP) ## Build what a node with Pods needs (once, some minutes; KEEP=1 also runs one)
	@tools/install-system-packages node
	@nice -n 5 $(BIN)/python -m workbench.node $(if $(KEEP),--keep)

.PHONY: test-node
test-node: $(STAMP) ## The image and the chart in Pods on a node of this machine (needs root; skipped elsewhere, but not in CI)
	@$(MAKE) --no-print-directory node || test -z "$${CI:-}"
	@$(BIN)/pytest -n 0 -m node tests/node
