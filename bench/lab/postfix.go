package lab

import (
	"context"
	"fmt"
	"strings"
)

// parameters are main.cf's.
type parameters map[string]string

// configurePostfix writes a Postfix configuration: the parameters given, over those
// that any Postfix of the lab has.
func configurePostfix(ctx context.Context, h *Host, services string, p parameters) error {
	all := parameters{
		"compatibility_level": "3.6",
		"myhostname":          h.FQDN(),
		"mydestination":       "",
		"mynetworks":          "127.0.0.0/8 [::1]/128",
		"inet_interfaces":     "all",
		"inet_protocols":      "all",
		"alias_maps":          "",
		"alias_database":      "",
		"maillog_file":        logDir + "/main",
		"biff":                "no",
		// There is no DNS; names come from /etc/hosts.
		"smtp_dns_support_level": "disabled",
		"smtp_host_lookup":       "native",
		"message_size_limit":     fmt.Sprint(MessageLimit),
		"mailbox_size_limit":     "0",
	}
	for name, value := range p {
		all[name] = value
	}
	var main strings.Builder
	for name, value := range all {
		fmt.Fprintf(&main, "%s = %s\n", name, value)
	}
	if err := h.WriteFile("/etc/postfix/main.cf", []byte(main.String()), 0o644); err != nil {
		return err
	}
	if err := h.WriteFile("/etc/postfix/master.cf", []byte(postfixServices+services), 0o644); err != nil {
		return err
	}
	// What Debian's package does when it is installed. The queue's directories are
	// made by the check at the start. A main.cf from just now would keep Postfix
	// waiting, in case that it is still being written.
	_, err := h.Command(ctx, "sh", "-ec", `
		mkdir -p /var/spool/postfix /var/lib/postfix
		chown postfix:postfix /var/lib/postfix
		chgrp postdrop /usr/sbin/postdrop /usr/sbin/postqueue
		chmod 2755 /usr/sbin/postdrop /usr/sbin/postqueue
		touch -d '1 minute ago' /etc/postfix/main.cf /etc/postfix/master.cf
	`).Output()
	return err
}

// runPostfix is what postfix start-fg does, but leaves no process between the
// caller and master(8).
var runPostfix = []string{"sh", "-c", "postfix check && exec /usr/lib/postfix/sbin/master -d"}

// postfixServices is what master.cf holds in every Postfix of the lab, sending or
// receiving. No service runs in a chroot: a host is one already.
const postfixServices = `
pickup    unix  n - n 60  1 pickup
cleanup   unix  n - n -   0 cleanup
qmgr      unix  n - n 300 1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n -   - trivial-rewrite
bounce    unix  - - n -   0 bounce
defer     unix  - - n -   0 bounce
trace     unix  - - n -   0 bounce
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n -   - proxymap
smtp      unix  - - n -   - smtp
showq     unix  n - n -   - showq
error     unix  - - n -   - error
retry     unix  - - n -   - error
discard   unix  - - n -   - discard
virtual   unix  - n n -   - virtual
anvil     unix  - - n -   1 anvil
scache    unix  - - n -   1 scache
postlog   unix-dgram n - n - 1 postlogd
`

// configurePostfixServer makes a Postfix that receives, and delivers by virtual(8).
func configurePostfixServer(ctx context.Context, h *Host, offerTLS bool) error {
	p := parameters{
		"virtual_mailbox_domains": Domain,
		"virtual_mailbox_base":    "/",
		// The slash at the end makes it a maildir.
		"virtual_mailbox_maps":  "static:" + strings.TrimPrefix(mailDir, "/") + "/",
		"virtual_uid_maps":      fmt.Sprintf("static:%d", mailOwnerID),
		"virtual_gid_maps":      fmt.Sprintf("static:%d", mailOwnerID),
		"virtual_mailbox_limit": "0",
		"smtpd_timeout":         "30s",
		"smtpd_tls_loglevel":    "1",
	}
	if offerTLS {
		p["smtpd_tls_security_level"] = "may"
		p["smtpd_tls_cert_file"] = certPath
		p["smtpd_tls_key_file"] = keyPath
	}
	return configurePostfix(ctx, h, "smtp inet n - n - - smtpd\n", p)
}
