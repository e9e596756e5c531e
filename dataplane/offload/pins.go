package offload

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"

	"keepword/bpf"
)

// Pins say what of the program outlives the process, and what was found of one that was killed.
type Pins struct {
	// Dir is where maps and links are pinned, "" where they are not: then Why says the reason,
	// or no interface is attached.
	Dir string
	Why error
	// Mounted says that this process has mounted the file system: what is pinned lasts as long
	// as that mount.
	Mounted bool
	// Adopted says that a killed process's connections in TLS go on from Start on as if nothing
	// had been; Void what of killed processes can't be used, and why. Connections in TLS that
	// stand there alone come up.
	Adopted bool
	Void    []error
}

// pins is the program's part of a place: the directory of its version.
type pins struct {
	place *place
	dir   string
	made  bool // maps are pinned there
	// What was found there and is not taken over yet: links that hold a killed process's
	// program at the interfaces.
	adopted map[string]*ebpf.Map
	links   []link.Link
	void    []error
}

const (
	linkPrefix = "interface_" // and the interface's index
	voidSuffix = "_void"      // behind a version's name, where it is damaged
)

// perProcess are the maps that are nothing without the process that reads and writes them.
// Each process has new ones.
var perProcess = []string{bpf.FollowMapLogs, bpf.FollowMapPresent, bpf.FollowMapRings, bpf.FollowMapScratches}

// outliving returns the maps that the program goes on with alone. Those whose names begin with
// a dot are the program's constants.
func outliving(spec *ebpf.CollectionSpec) map[string]*ebpf.MapSpec {
	keep := maps.Clone(spec.Maps)
	maps.DeleteFunc(keep, func(name string, _ *ebpf.MapSpec) bool {
		return strings.HasPrefix(name, ".") || slices.Contains(perProcess, name)
	})
	return keep
}

// version names the layout of the maps that outlive the process: their kinds and sizes, their
// types member by member, and all enums. The program's code is no part of it, for it is replaced
// in any case, and what it was about to do is void then: a corrected program takes over what the
// old one has let go for good. Of that only the types can be misread.
func version(spec *ebpf.CollectionSpec) (string, error) {
	h := sha256.New()
	declare := func(name string, t btf.Type) error {
		text, err := new(btf.GoFormatter).TypeDeclaration(name, t)
		fmt.Fprintln(h, text)
		return err
	}
	keep := outliving(spec)
	for _, name := range slices.Sorted(maps.Keys(keep)) {
		m := keep[name]
		fmt.Fprintln(h, name, m.Type, m.KeySize, m.ValueSize, m.MaxEntries, m.Flags)
		if err := errors.Join(declare("key", m.Key), declare("value", m.Value)); err != nil {
			return "", fmt.Errorf("describe map %s: %w", name, err)
		}
	}
	for t, err := range spec.Types.All() {
		if err != nil {
			return "", fmt.Errorf("read the program's types: %w", err)
		}
		if e, ok := t.(*btf.Enum); ok && e.Name != "" {
			if err := declare(e.Name, e); err != nil {
				return "", fmt.Errorf("describe enum %s: %w", e.Name, err)
			}
		}
	}
	const octets = 8
	return hex.EncodeToString(h.Sum(nil)[:octets]), nil
}

// openPins looks at what a killed process has left in a BPF file system, and changes nothing
// of it.
func openPins(root string, spec *ebpf.CollectionSpec) (*pins, error) {
	name, err := version(spec)
	if err != nil {
		return nil, err
	}
	place, err := openPlace(root)
	if err != nil {
		return nil, err
	}
	p := &pins{place: place, dir: filepath.Join(place.dir, name)}
	others, err := os.ReadDir(place.dir)
	if err != nil {
		place.leave()
		return nil, err
	}
	for _, e := range others {
		if e.Name() != name {
			p.void = append(p.void, fmt.Errorf("%s is of another version", filepath.Join(place.dir, e.Name())))
		}
	}
	if _, err := os.Lstat(p.dir); errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err := p.find(outliving(spec)); err != nil {
		p.void = append(p.void, fmt.Errorf("%s: %w", p.dir, err))
		p.drop()
		return p, nil
	}
	p.made = true
	return p, nil
}

// find opens what is pinned. It returns an error where that is not all of keep, and links, and
// nothing else.
func (p *pins) find(keep map[string]*ebpf.MapSpec) error {
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		return err
	}
	p.adopted = make(map[string]*ebpf.Map)
	for _, e := range entries {
		name, path := e.Name(), filepath.Join(p.dir, e.Name())
		if strings.HasPrefix(name, linkPrefix) {
			l, err := link.LoadPinnedLink(path, nil)
			if err != nil {
				return fmt.Errorf("%s is damaged: %w", name, err)
			}
			p.links = append(p.links, l)
			continue
		}
		spec := keep[name]
		if spec == nil {
			return fmt.Errorf("%s is no map of ours", name)
		}
		m, err := ebpf.LoadPinnedMap(path, nil)
		if err != nil {
			return fmt.Errorf("%s is damaged: %w", name, err)
		}
		p.adopted[name] = m
		if err := spec.Compatible(m); err != nil {
			return fmt.Errorf("%s is damaged: %w", name, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(keep)) {
		if p.adopted[name] == nil {
			return fmt.Errorf("map %s is missing", name)
		}
	}
	// Where no program was there, connections came and went unseen, and their ports may be those
	// of others now.
	if slices.ContainsFunc(p.links, func(l link.Link) bool { return interfaceHere(l) != 0 }) {
		return nil
	}
	if filters, err := leftFilters(); err != nil || len(filters) == 0 {
		return errors.Join(errors.New("no interface has the program any more"), err)
	}
	return nil
}

// isAttached says that a link's interface still has its program.
func isAttached(l link.Link) bool { return interfaceOf(l) != 0 }

// interfaceOf returns the index of a link's interface, in its network namespace; 0 where that is
// gone.
func interfaceOf(l link.Link) int {
	info, err := l.Info()
	if err != nil || info.TCX() == nil {
		return 0
	}
	return int(info.TCX().Ifindex)
}

// interfaceHere is interfaceOf, and 0 too where the interface has moved to another network namespace
// than the calling thread's: its program goes with it.
func interfaceHere(l link.Link) int {
	iface := interfaceOf(l)
	info, err := l.Info()
	if iface == 0 || err != nil {
		return 0
	}
	here, err := link.QueryPrograms(link.QueryOptions{Target: iface, Attach: ebpf.AttachTCXIngress})
	if err != nil {
		return 0
	}
	for _, p := range here.Programs {
		if id, ok := p.LinkID(); ok && id == info.ID {
			return iface
		}
	}
	return 0
}

// drop closes what find has opened. It stays pinned.
func (p *pins) drop() {
	for _, m := range p.adopted {
		_ = m.Close()
	}
	for _, l := range p.links {
		_ = l.Close()
	}
	p.adopted, p.links = nil, nil
}

// make pins maps, where it has not yet. What lies there and is damaged is moved aside, so that its
// links keep their program until others have taken their place.
func (p *pins) make(keep map[string]*ebpf.Map) error {
	if p.made {
		return nil
	}
	aside := p.dir + voidSuffix
	if err := os.Rename(p.dir, aside); errors.Is(err, fs.ErrExist) {
		err = errors.Join(os.RemoveAll(aside), os.Rename(p.dir, aside))
		if err != nil {
			return err
		}
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Mkdir(p.dir, private); err != nil {
		return err
	}
	p.made = true
	for name, m := range keep {
		if err := m.Pin(filepath.Join(p.dir, name)); err != nil {
			return fmt.Errorf("pin %s: %w", name, err)
		}
	}
	return nil
}

// linkPath is where the link at an interface is pinned.
func (p *pins) linkPath(iface int) string {
	return filepath.Join(p.dir, linkPrefix+strconv.Itoa(iface))
}

// remove takes away what is pinned.
func (p *pins) remove() error {
	if !p.made {
		return nil
	}
	p.made = false
	return os.RemoveAll(p.dir)
}

// close ends the use of pins. What is this process's own, or was taken over, is removed.
func (p *pins) close(own bool) (err error) {
	p.drop()
	if own {
		err = p.remove()
	}
	p.place.leave()
	return err
}

// clear removes all in the place but keep, and the places of network namespaces that are gone.
func (p *place) clear(keep string) error {
	entries, err := os.ReadDir(p.dir)
	errs := []error{err}
	for _, e := range entries {
		if e.Name() != keep {
			errs = append(errs, removePins(filepath.Join(p.dir, e.Name())))
		}
	}
	places, globErr := filepath.Glob(filepath.Join(filepath.Dir(p.dir), namespacePrefix+"*"))
	errs = append(errs, globErr)
	for _, dir := range places {
		if lock, err := lockDir(dir); err == nil { // nobody uses it
			if isOrphan(dir) {
				errs = append(errs, os.RemoveAll(dir))
			}
			_ = os.Remove(dir) // where it is empty
			_ = lock.Close()
		}
	}
	return errors.Join(errs...)
}

// removePins removes a version's pins, and takes the program off where its links have it.
func removePins(dir string) error {
	links, err := filepath.Glob(filepath.Join(dir, linkPrefix+"*"))
	for _, path := range links {
		if l, loadErr := link.LoadPinnedLink(path, nil); loadErr == nil { // else it is none
			_ = tcx{l}.Close()
		}
	}
	return errors.Join(err, os.RemoveAll(dir))
}

// isOrphan says that no link of a killed process's place has an interface any more: its network
// namespace is gone. Of a place without links, as on kernels without tcx, nobody can tell.
func isOrphan(dir string) bool {
	paths, err := filepath.Glob(filepath.Join(dir, "*", linkPrefix+"*"))
	if err != nil || len(paths) == 0 {
		return false
	}
	return !slices.ContainsFunc(paths, func(path string) bool {
		l, err := link.LoadPinnedLink(path, nil)
		if err != nil {
			return true // nor of this
		}
		defer func() { _ = l.Close() }()
		return isAttached(l)
	})
}
