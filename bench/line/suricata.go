package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// suricata is Suricata 7 inline, with events of SMTP and no rules. It is there where the
// machine has it: `make bench SURICATA=1` installs it.
var suricata = subject{
	name: "Suricata 7 inline, SMTP events only",
	missing: func(ctx context.Context, s *site) string {
		version, err := s.Gateway.Command(ctx, "suricata", "-V").Output()
		if err != nil {
			return "not installed; make bench SURICATA=1 installs it"
		}
		if !strings.Contains(string(version), "version 7.") {
			return fmt.Sprintf("another version: %s", strings.TrimSpace(string(version)))
		}
		return ""
	},
	stand: func(ctx context.Context, s *site) (*standing, error) {
		if err := errors.Join(
			s.Gateway.WriteFile(suricataConf, []byte(suricataConfig), 0o644),
			s.Gateway.WriteFile(suricataLog+"/eve.json", nil, 0o644), // makes the folder
		); err != nil {
			return nil, err
		}
		at, err := s.onQueue(ctx, "Engine started.", "suricata", "-c", suricataConf, "-q", fmt.Sprint(queue),
			"--runmode", "workers", "-l", suricataLog)
		if err != nil {
			return nil, err
		}
		divertNoMore := at.undo
		at.undo = func() error {
			// What was written is not the next run's to keep in memory.
			return errors.Join(divertNoMore(), s.Gateway.WriteFile(suricataLog+"/eve.json", nil, 0o644))
		}
		return at, nil
	},
}

// Where Suricata finds its configuration and leaves its events.
const (
	suricataConf = "/etc/line/suricata.yaml"
	suricataLog  = "/var/log/suricata"
)

// suricataConfig is the least that follows SMTP inline. Checksums are not looked at, as
// keepword looks at none that the kernel says it has not filled in yet.
const suricataConfig = `%YAML 1.1
---
vars:
  address-groups: {HOME_NET: any, EXTERNAL_NET: any}
  port-groups: {}
default-log-dir: /var/log/suricata
stats: {enabled: no}
outputs:
  - eve-log:
      enabled: yes
      filetype: regular
      filename: eve.json
      types: [smtp]
logging:
  default-log-level: notice
  outputs: [console: {enabled: yes}]
app-layer:
  protocols:
    smtp: {enabled: yes, mime: {decode-mime: no}}
    tls: {enabled: yes, detection-ports: {dp: 443}}
nfq: {mode: accept, fail-open: no, batchcount: 20}
flow: {memcap: 256mb, hash-size: 65536, prealloc: 10000}
stream:
  memcap: 256mb
  checksum-validation: no
  inline: yes
  reassembly: {memcap: 512mb, depth: 0}
unix-command: {enabled: no}
classification-file: /dev/null
reference-config-file: /dev/null
threshold-file: /dev/null
default-rule-path: /etc/line
rule-files: []
`
