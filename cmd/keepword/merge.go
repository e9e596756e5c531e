package main

import (
	"reflect"

	"keepword/cmd/keepword/internal/config"
)

// merge returns next with those values of old that can't change while keepword runs,
// and the keys whose values would have changed.
func merge(old, next *config.Config) (merged *config.Config, fixed []string) {
	m := *next
	keep := func(name string, was, is any) {
		w, i := reflect.ValueOf(was).Elem(), reflect.ValueOf(is).Elem()
		if !reflect.DeepEqual(w.Interface(), i.Interface()) {
			fixed = append(fixed, name)
			i.Set(w)
		}
	}
	keep("hooks", &old.Hooks, &m.Hooks)
	keep("interfaces", &old.Interfaces, &m.Interfaces)
	keep("queues", &old.Queues, &m.Queues)
	keep("mark", &old.Mark, &m.Mark)
	keep("engine", &old.Engine, &m.Engine)
	keep("offload", &old.Offload, &m.Offload)
	keep("when", &old.When, &m.When)
	keep("limits", &old.Limits, &m.Limits)
	keep("history.path", &old.History.Path, &m.History.Path)
	keep("events", &old.Events, &m.Events)
	keep("metrics", &old.Metrics, &m.Metrics)
	keep("control", &old.Control, &m.Control)
	return &m, fixed
}
