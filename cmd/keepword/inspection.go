package main

import (
	"keepword/cmd/keepword/internal/config"
	"keepword/cmd/keepword/internal/eve"
	"keepword/cmd/keepword/internal/privacy"
	"keepword/inspect"
)

// account is how many things that were said are kept of the sessions under way, by all
// workers, so that their events can tell the dialogue: 3 MiB, enough for 13,000 sessions at
// once of ten each. What was said long ago in a session that idles is the first to go.
const account = 1 << 17

// whens are the configuration's words for lost sight in inspection's.
var whens = map[config.Loss]inspect.When{
	config.Pass: inspect.WhenPass,
	config.Drop: inspect.WhenDrop,
	config.Kill: inspect.WhenKill,
}

// limits are the share that one of n workers has in the limits for all.
func limits(cfg *config.Config, n int) inspect.Limits {
	memory := max(1, cfg.Limits.Memory/int64(n))
	return inspect.Limits{
		Flows:      max(1, cfg.Limits.Flows/n),
		Memory:     memory,
		FlowMemory: min(memory, cfg.Limits.FlowMemory),
	}
}

// told is sink, given what the configuration allows to tell of clients.
func told(cfg *config.Config, sink inspect.Sink) inspect.Sink {
	if cfg.Events.Addresses == config.AddressesPrefix {
		return privacy.Sink(sink)
	}
	return sink
}

// eventOptions are what the configuration says of events; iface is eve.Options.Interface.
func eventOptions(cfg *config.Config, iface func(uint32) string) eve.Options {
	return eve.Options{
		Interface:       iface,
		HideEnvelope:    !cfg.Events.Envelope,
		HideCommunityID: cfg.Events.Addresses == config.AddressesPrefix,
	}
}
