package main

import (
	"bytes"
	"fmt"
	"strings"

	"keepword/cmd/keepword/internal/config"
	"keepword/cmd/keepword/internal/report/page"
)

// summary is the screen that tells an administrator what has been started: so many
// workers, with which of the kernel's expressions it queues, and what the kernel does by
// itself.
func summary(cfg *config.Config, workers int, expression, offload string) string {
	var b bytes.Buffer
	line := func(label, format string, args ...any) {
		fmt.Fprintf(&b, "  %-9s %s\n", label, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(&b, "keepword %s inspects SMTP on this host.\n\n", version())
	line("mode", "%s", modes[cfg.Mode.String()])
	line("ports", "TCP %s", list(cfg.Ports))
	line("traffic", "%s", hooks(cfg.Hooks))
	queues := fmt.Sprintf("%d, one worker", cfg.Queues.First)
	if workers > 1 {
		queues = fmt.Sprintf("%d to %d, a worker each", cfg.Queues.First, int(cfg.Queues.First)+workers-1)
	}
	line("queues", "%s (%s expression)", queues, expression)
	page.Wrap(&b, fmt.Sprintf("  %-9s ", "offload"), offload)
	line("events", "%s", orOff(cfg.Events.Path, map[string]string{"-": "stdout"}))
	metrics := orOff(cfg.Metrics.Listen, nil)
	if cfg.Metrics.Listen != "" {
		metrics = "http://" + metrics + "/metrics"
	}
	line("metrics", "%s", metrics)
	line("control", "%s", orOff(cfg.Control.Socket, nil))
	line("stopped", "by Ctrl-C or SIGTERM: its nftables table goes, and mail flows on")
	if cfg.When.DaemonDown == config.Pass {
		line("killed", "mail flows on uninspected (when.daemon_down: pass)")
	} else {
		line("killed", "mail stops until keepword is back (when.daemon_down: drop)")
	}
	b.WriteByte('\n')
	return b.String()
}

var modes = map[string]string{
	"enforce": "enforce: corrects and refuses, as configured",
	"observe": "observe: alters nothing, reports what would be done",
}

func hooks(of []config.Hook) string {
	words := map[config.Hook]string{
		config.Forward: "routed through this host (forward)",
		config.Input:   "to its own servers (input)",
		config.Output:  "of its own clients (output)",
	}
	var s []string
	for _, h := range of {
		s = append(s, words[h])
	}
	return strings.Join(s, ",\n            ")
}

// orOff replaces a value that switches something off, or has a name of its own.
func orOff(value string, names map[string]string) string {
	if value == "" {
		return "off"
	}
	if name, ok := names[value]; ok {
		return name
	}
	return value
}
