# SPDX-License-Identifier: GPL-2.0

export BASE MACHINE SUITE PATCH KERNEL SIGNOFF RECORD SANITIZE FILE CHECK

help:
	@echo 'make run       apply the series to the base kernel, boot it next to the stock one'
	@echo '               with a real DMA device, show what each does with the same mappings'
	@echo 'make test      every KUnit suite and selftest on every machine and base'
	@echo 'make prove     patch by patch, the cases that fail on the stock kernel and pass with the patch'
	@echo 'make shell     a prompt on one machine, with the tests at hand: make shell MACHINE=x86_64-direct'
	@echo 'make series    out/BASE: patches for git am, an mbox with cover letter, a quilt series,'
	@echo '               and for 7.3 a set for each tree, with addresses'
	@echo 'make tree      tree/BASE: a git tree with one commit per patch, to work in'
	@echo 'make refresh   write tree/BASE back into the series'
	@echo 'make check     every static rule: layout, patches, checkpatch, documents, compilers, analysers'
	@echo 'make coverage  which lines and branches that the series adds no test runs'
	@echo 'make mutate    break what the series adds, piece by piece, and see that a test notices'
	@echo 'make verify    these two, and all else that takes hours'
	@echo 'make bench     what the series costs: instructions per mapping, next to the stock kernel'
	@echo
	@echo 'BASE=$(notdir $(patsubst %/base.toml,%,$(firstword $(wildcard series/*/base.toml))))      one base instead of all of those a command is about: $(notdir $(patsubst %/base.toml,%,$(wildcard series/*/base.toml)))'
	@echo 'MACHINE=name   one machine instead of those booted by default; wildcards work: $(basename $(notdir $(wildcard machines/*.toml)))'
	@echo 'SUITE=name     one KUnit suite or selftest, or suite.case; wildcards work'
	@echo 'PATCH=name     make prove for one patch: its name or its subject; wildcards work'
	@echo 'FILE=path      make mutate for one file or directory; wildcards work'
	@echo 'CHECK=name     one part of make verify'
	@echo 'KERNEL=path    your kernel, a git tree or a tarball, in place of the base'
	@echo 'SIGNOFF="Name <address>"   sign off the patches that make series writes'
	@echo 'SANITIZE=1     make test with sanitizers; memory or races for one of the two kernels; slower by far'
	@echo 'RECORD=1       keep what make verify or make bench finds, or make check of other releases'

run test prove shell series tree refresh check bench coverage mutate verify:
	@python3 -m harness $@

.PHONY: help run test prove shell series tree refresh check bench coverage mutate verify
