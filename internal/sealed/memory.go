package sealed

import "sync"

// remembered is how many values a box remembers at the least, once it has opened
// as many; at the most it is twice that. Each takes some 300 bytes.
const remembered = 10_000

// memory is two generations: what is asked for moves to the young one, and when
// that is full the old one is forgotten. Places are part of the keys: a sealed
// value that was copied to another row must not be found.
type memory struct {
	mu         sync.Mutex
	young, old map[string]string
}

func memoryKey(at Place, v Value) string {
	return string(append(append(at.associatedData(), 0), v.Bytes...))
}

func (m *memory) get(key string) (string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	value, ok := m.young[key]
	if !ok {
		if value, ok = m.old[key]; ok {
			m.add(key, value)
		}
	}
	return value, ok
}

func (m *memory) put(key, value string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.add(key, value)
}

func (m *memory) add(key, value string) {
	if m.young == nil || len(m.young) >= remembered {
		m.young, m.old = make(map[string]string), m.young
	}
	m.young[key] = value
}
