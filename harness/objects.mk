# SPDX-License-Identifier: GPL-2.0
# Which objects a configured kernel compiles in a directory: make -C OUTPUT -f this
# srctree=SOURCE obj=DIRECTORY. The same steps as in scripts/Makefile.build.

obj-y :=
obj-m :=
lib-y :=
lib-m :=
src := $(srctree)/$(obj)

-include include/config/auto.conf
include $(srctree)/scripts/Kbuild.include
include $(firstword $(wildcard $(src)/Kbuild $(src)/Makefile))

parts = $(strip $(foreach s,$(2),$($(1:%.o=%$(s)))))
real = $(foreach o,$(1),$(if $(call parts,$(o),-objs -y -m -),$(call parts,$(o),$(2)),$(o)))

$(foreach o,$(call real,$(obj-y) $(lib-y),-objs -y) $(call real,$(obj-m) $(lib-m),-objs -y -m),\
	$(info $(obj)/$(o)))

.PHONY: nothing
nothing: ; @:
