# Included by the Makefile.

.PHONY: control-plane
control-plane: $(STAMP) ## Build kube-apiserver and etcd for the tests (once, a few minutes; needs Go)
	@$(BIN)/python -m workbench.kube.build_control_plane
