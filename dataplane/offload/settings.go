package offload

import (
	"encoding/binary"
	"fmt"
	"math"

	"keepword/bpf"
)

// Bounds of the program (bpf/src/types.h).
const (
	maxWorkers = len(bpf.FollowSettings{}.AliveUntil)
	slots      = len(bpf.FollowSettings{}.Worker)
)

// aliveSize is the size of an element of the settings' first field, alive_until.
const aliveSize = 8

// configure writes the settings as they are at the start. Those of a killed process are its
// program's until Start.
func (o *Offload) configure(cfg *Config) error {
	s := &o.settings
	if !o.started {
		if err := o.objects.Control.Lookup(uint32(0), s); err != nil {
			return fmt.Errorf("read the settings of a killed process: %w", err)
		}
	}
	*s = bpf.FollowSettings{Epoch: s.Epoch, Mark: cfg.Mark, Large: cfg.Large}
	if s.Large == 0 {
		s.Large = math.MaxUint32
	}
	for slot := range s.Worker {
		s.Worker[slot] = uint8(cfg.Worker(uint16(slot << 1))) // as the program finds the slot of a port
	}
	if o.started {
		return o.Set(cfg.Ports, cfg.Window)
	}
	return nil
}

// Set changes the inspected ports and the window (see Config). Nothing that was granted before
// is worth anything then, but for connections in TLS.
func (o *Offload) Set(ports []uint16, window uint32) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.write(ports, window); err != nil {
		return err
	}
	o.alive()
	return nil
}

// write writes the settings; nobody counts as reading the log then.
func (o *Offload) write(ports []uint16, window uint32) error {
	o.settings.Window = window
	o.settings.Ports = [len(o.settings.Ports)]uint64{}
	for _, p := range ports {
		o.settings.Ports[p/64] |= 1 << (p % 64)
	}
	return o.newEpoch()
}

// epoch returns the settings' number.
func (o *Offload) epoch() uint32 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.settings.Epoch
}

// newEpoch writes the settings, and with their number makes void what was granted.
func (o *Offload) newEpoch() error {
	o.settings.Epoch++
	if err := o.objects.Control.Put(uint32(0), &o.settings); err != nil {
		return fmt.Errorf("write the program's settings: %w", err)
	}
	return nil
}

// alive tells the program that all workers read their logs.
func (o *Offload) alive() {
	for _, w := range o.workers {
		w.alive()
	}
}

// alive tells the program that w reads its log.
func (w *Worker) alive() {
	var until [aliveSize]byte
	binary.NativeEndian.PutUint64(until[:], uint64(monotonic())+uint64(aliveTime))
	// The memory is the map's as long as the map is open.
	_, _ = w.o.control.WriteAt(until[:], int64(w.index*aliveSize))
}

func nativeWord(b []byte) uint32 { return binary.NativeEndian.Uint32(b) }

// networkOrder returns p as a number whose octets in memory are in network order.
func networkOrder(p uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, p))
}
