package lab

import (
	"context"
	"fmt"
)

// eximConf is where Debian's Exim looks first. Under another name, given by -C, it
// would give up its privileges, and with them delivery to another user.
const eximConf = "/etc/exim4/exim4.conf"

// configureExim makes an Exim that receives, and delivers by appendfile.
func configureExim(ctx context.Context, h *Host, offerTLS bool) error {
	advertise := ""
	if offerTLS {
		advertise = "*"
	}
	conf := fmt.Sprintf(`
primary_hostname = %[1]s
domainlist local_domains = %[2]s
log_file_path = %[3]s/%%s
log_selector = +tls_cipher +smtp_connection
spool_directory = /var/spool/exim4
local_interfaces = <; 0.0.0.0 ; ::0
disable_ipv6 = false
host_lookup =
keep_environment =
rfc1413_hosts =
dns_again_means_nonexist = *
smtp_receive_timeout = 30s
message_size_limit = %[4]d
tls_advertise_hosts = %[5]s
tls_certificate = %[6]s
tls_privatekey = %[7]s
acl_smtp_rcpt = take
acl_smtp_data = accept
never_users =

begin acl
take:
  accept domains = +local_domains
  deny message = relay not permitted

begin routers
all:
  driver = accept
  domains = +local_domains
  transport = maildir

begin transports
maildir:
  driver = appendfile
  directory = %[8]s
  maildir_format
  user = %[9]s
  group = %[9]s
`, h.FQDN(), Domain, logDir, MessageLimit, advertise, certPath, keyPath, mailDir, mailOwner)
	if err := h.WriteFile(eximConf, []byte(conf), 0o644); err != nil {
		return err
	}
	_, err := h.Command(ctx, "sh", "-ec", fmt.Sprintf(`
		mkdir -p /var/spool/exim4 /var/lib/exim4
		chown Debian-exim:Debian-exim /var/spool/exim4
		chgrp Debian-exim %[1]s
		chmod 640 %[1]s
	`, keyPath)).Output()
	return err
}
