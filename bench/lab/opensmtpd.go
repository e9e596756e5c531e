package lab

import (
	"context"
	"fmt"
)

// configureOpenSMTPD makes an OpenSMTPD that receives, and delivers into a maildir.
func configureOpenSMTPD(ctx context.Context, h *Host, offerTLS bool) error {
	pki, tls := "", ""
	if offerTLS {
		pki = fmt.Sprintf("pki lab cert %q\npki lab key %q\n", certPath, keyPath)
		tls = "tls pki lab"
	}
	conf := fmt.Sprintf(`
%[1]s
smtp max-message-size %[2]d
table anyone { "@" = "%[3]s" }
listen on 0.0.0.0 port 25 hostname %[4]s %[5]s
listen on :: port 25 hostname %[4]s %[5]s
action "store" maildir %[6]q virtual <anyone>
match from any for domain %[7]q action "store"
`, pki, MessageLimit, mailOwner, h.FQDN(), tls, mailDir, Domain)
	if err := h.WriteFile("/etc/smtpd.conf", []byte(conf), 0o644); err != nil {
		return err
	}
	_, err := h.Command(ctx, "sh", "-ec", `
		mkdir -p /var/spool/smtpd /var/lib/opensmtpd/empty
		chmod 711 /var/spool/smtpd
	`).Output()
	return err
}
