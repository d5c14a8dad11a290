package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Masked is a configuration fit to be printed: in the contract's order, with
// secrets masked. It marshals to JSON and YAML with the keys of the file.
type Masked struct {
	root object
	rows []Row
}

// Row is one key of a Masked.
type Row struct {
	Key    string
	Value  string
	Origin string // see Config.Origins
}

// object is a mapping that keeps the order of its keys. A value is a string,
// an int, a float64, an object or a list of objects.
type object []member

type member struct {
	name  string
	value any
}

// Masked is the configuration with its secrets masked.
func (c *Config) Masked() Masked {
	m := Masked{}
	add := func(key string, value any) {
		m.root = m.root.with(key, value)
		if _, list := value.([]object); !list {
			m.rows = append(m.rows, Row{key, fmt.Sprint(value), c.Origins[key]})
		}
	}
	for _, f := range fields {
		if f.key == "poller.escalate_after" {
			list := []object{} // not nil, which would print as null
			for i := range c.Poller.Schedule {
				step := masked(stepFields, &c.Poller.Schedule[i])
				if c.Poller.Schedule[i].Until == 0 {
					step = step[1:] // the last step has no until
				}
				list = append(list, step)
				m.addRows(fmt.Sprintf("%s[%d]", keySchedule, i), step, func(string) string { return c.Origins[keySchedule] })
			}
			add(keySchedule, list)
		}
		add(f.key, shown(f.at(c)))
	}
	list := []object{}
	for i := range c.Accounts {
		account := masked(accountFields, &c.Accounts[i])
		list = append(list, account)
		m.addRows(fmt.Sprintf("%s[%d]", keyAccounts, i), account, func(key string) string { return c.Origins[key] })
	}
	add(keyAccounts, list)
	return m
}

func masked[T any](fields []field[T], from *T) object {
	var out object
	for _, f := range fields {
		out = out.with(f.key, shown(f.at(from)))
	}
	return out
}

func (m *Masked) addRows(key string, o object, origin func(key string) string) {
	for _, member := range o {
		at := join(key, member.name)
		if inner, nested := member.value.(object); nested {
			m.addRows(at, inner, origin)
			continue
		}
		m.rows = append(m.rows, Row{at, fmt.Sprint(member.value), origin(at)})
	}
}

// Rows are the keys one by one, for a table.
func (m Masked) Rows() []Row { return m.rows }

// MarshalJSON keeps the order of the keys.
func (m Masked) MarshalJSON() ([]byte, error) { return json.Marshal(m.root) }

// MarshalYAML keeps the order of the keys.
func (m Masked) MarshalYAML() (any, error) { return m.root.node() }

// with sets a key of dotted names. Keys of one mapping come one after another.
func (o object) with(key string, value any) object {
	name, rest, nested := strings.Cut(key, ".")
	if !nested {
		return append(o, member{name, value})
	}
	if last := len(o) - 1; last >= 0 && o[last].name == name {
		o[last].value = o[last].value.(object).with(rest, value)
		return o
	}
	return append(o, member{name, object{}.with(rest, value)})
}

// MarshalJSON keeps the order of the keys.
func (o object) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			out.WriteByte(',')
		}
		value, err := json.Marshal(m.value)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&out, "%q:%s", m.name, value)
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

func (o object) node() (*yaml.Node, error) {
	out := &yaml.Node{Kind: yaml.MappingNode}
	for _, m := range o {
		name, value := &yaml.Node{}, &yaml.Node{}
		name.SetString(m.name)
		var err error
		switch v := m.value.(type) {
		case object:
			value, err = v.node()
		case []object:
			value.Kind = yaml.SequenceNode
			if len(v) == 0 {
				value.Style = yaml.FlowStyle // an empty list has no block style
			}
			for _, item := range v {
				var inner *yaml.Node
				if inner, err = item.node(); err != nil {
					return nil, err
				}
				value.Content = append(value.Content, inner)
			}
		default:
			err = value.Encode(v)
		}
		if err != nil {
			return nil, err
		}
		out.Content = append(out.Content, name, value)
	}
	return out, nil
}
