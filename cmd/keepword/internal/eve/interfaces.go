package eve

import (
	"net"
	"time"
)

// nameLifetime is how long a name is believed: interfaces are renamed rarely, and an
// event with a name a minute old misleads nobody for long.
const nameLifetime = time.Minute

// nameLimit bounds the cache. A host with more interfaces than that only pays for
// more lookups.
const nameLimit = 4096

// InterfaceNames returns a function for Options.Interface that asks the kernel and
// remembers its answers for a minute. It must not be called concurrently.
func InterfaceNames() func(index uint32) string {
	return cachedNames(func(index uint32) string {
		i, err := net.InterfaceByIndex(int(index))
		if err != nil {
			return "" // gone since
		}
		return i.Name
	}, time.Now)
}

func cachedNames(lookup func(uint32) string, now func() time.Time) func(uint32) string {
	names := make(map[uint32]string)
	var expires time.Time
	return func(index uint32) string {
		if t := now(); t.After(expires) || len(names) >= nameLimit {
			clear(names)
			expires = t.Add(nameLifetime)
		}
		name, ok := names[index]
		if !ok {
			name = lookup(index)
			names[index] = name
		}
		return name
	}
}
