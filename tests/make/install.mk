# Installation into Debian's Apache layout, and the Debian package.

LIBEXECDIR ?= $(call apxs_q,LIBEXECDIR)
SYSCONFDIR ?= $(call apxs_q,SYSCONFDIR)
MODS_DIR ?= $(SYSCONFDIR)/mods-available
DOC_DIR ?= /usr/share/doc/libapache2-mod-cxxproxy
MAN_DIR ?= /usr/share/man/man8
EXAMPLES := $(notdir $(wildcard conf/examples/*.conf))
INSTALLED_DOCS := directives.md log-messages.md configtest.md

.PHONY: install uninstall install-check deb
install: all ## module, mods-available files, man page and examples where Debian wants them (DESTDIR=)
	$(Q)install -d $(DESTDIR)$(LIBEXECDIR) $(DESTDIR)$(MODS_DIR) $(DESTDIR)$(DOC_DIR)/examples $(DESTDIR)$(MAN_DIR)
	$(Q)install -m 644 $(PLAIN)/mod_cxxproxy.so $(PLAIN)/mod_cxxproxy_compat.so $(DESTDIR)$(LIBEXECDIR)
	$(Q)for load in cxxproxy.load cxxproxy_compat.load; do \
	  sed 's|/usr/lib/apache2/modules|$(LIBEXECDIR)|' conf/$$load >$(DESTDIR)$(MODS_DIR)/$$load && \
	  chmod 644 $(DESTDIR)$(MODS_DIR)/$$load || exit 1; done
	$(Q)# An administrator's settings survive a second installation.
	$(Q)test -e $(DESTDIR)$(MODS_DIR)/cxxproxy.conf || install -m 644 conf/cxxproxy.conf $(DESTDIR)$(MODS_DIR)
	$(Q)install -m 644 $(EXAMPLES:%=conf/examples/%) $(DESTDIR)$(DOC_DIR)/examples
	$(Q)install -m 644 $(INSTALLED_DOCS:%=docs/%) $(DESTDIR)$(DOC_DIR)
	$(Q)gzip -9nc docs/mod_cxxproxy.8 >$(DESTDIR)$(MAN_DIR)/mod_cxxproxy.8.gz
	$(Q)chmod 644 $(DESTDIR)$(MAN_DIR)/mod_cxxproxy.8.gz
	@echo "installed; next: a2enmod cxxproxy"

uninstall: ## removes what `make install` put there (run a2dismod cxxproxy first)
	@for name in cxxproxy cxxproxy_compat; do \
	  test ! -e $(DESTDIR)$(SYSCONFDIR)/mods-enabled/$$name.load || \
	  { echo "$$name is still enabled: run a2dismod $$name first" >&2; exit 1; }; done
	$(Q)rm -f $(addprefix $(DESTDIR)$(LIBEXECDIR)/,mod_cxxproxy.so mod_cxxproxy_compat.so) \
	  $(addprefix $(DESTDIR)$(MODS_DIR)/,cxxproxy.load cxxproxy.conf cxxproxy_compat.load) \
	  $(addprefix $(DESTDIR)$(DOC_DIR)/,$(EXAMPLES:%=examples/%) $(INSTALLED_DOCS)) $(DESTDIR)$(MAN_DIR)/mod_cxxproxy.8.gz
	$(Q)rmdir $(DESTDIR)$(DOC_DIR)/examples $(DESTDIR)$(DOC_DIR) 2>/dev/null || true

install-check: all ## installs into a scratch directory, looks, uninstalls, looks again
	$(Q)MAKE="$(MAKE)" tests/tools/install_check.sh $(O)

deb: ## the Debian package in build/deb/, built from a copy of the tree and seen by lintian
	$(Q)tests/tools/need.sh deb
	$(Q)tests/tools/deb.sh $(O)
