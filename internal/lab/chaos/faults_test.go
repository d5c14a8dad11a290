package chaos

import (
	"reflect"
	"testing"
	"time"
)

func TestScheduleIsItsSeeds(t *testing.T) {
	a, b := newSchedule(60, time.Second, Kinds(), 5), newSchedule(60, time.Second, Kinds(), 5)
	if !reflect.DeepEqual(a, b) {
		t.Error("the same seed gives another schedule")
	}
	if reflect.DeepEqual(a, newSchedule(60, time.Second, Kinds(), 6)) {
		t.Error("another seed gives the same schedule")
	}
	counts := map[Kind]int{}
	for i, p := range a {
		counts[p.Kind]++
		if p.Number != i+1 || p.At < time.Duration(i)*time.Second || p.At >= time.Duration(i+1)*time.Second || p.For < 0 {
			t.Errorf("%+v", p)
		}
		if (p.Kind == StopConsumer || p.Kind == StopPoller) && p.For <= lease {
			t.Errorf("held still for less than the lease: %+v", p)
		}
	}
	for _, kind := range Kinds() { // 60 are a whole deck
		if counts[kind] == 0 {
			t.Errorf("no %s", kind)
		}
	}
	if some := newSchedule(7, time.Second, []Kind{FlushRedis}, 1); len(some) != 7 || some[6].Kind != FlushRedis {
		t.Errorf("%+v", some)
	}
	if none := newSchedule(7, time.Second, nil, 1); len(none) != 0 {
		t.Errorf("%+v", none)
	}
}

func TestParseKinds(t *testing.T) {
	if kinds, err := ParseKinds("cut-nats, full-disk"); err != nil || len(kinds) != 2 || kinds[1] != FullDisk {
		t.Errorf("%v, %v", kinds, err)
	}
	if _, err := ParseKinds("cut-nats,earthquake"); err == nil {
		t.Error("an unknown kind is no error")
	}
}

func TestPlanIsItsSeeds(t *testing.T) {
	a, err := newPlan(500, 5)
	if err != nil {
		t.Fatal(err)
	}
	b, err := newPlan(500, 5)
	if err != nil || !reflect.DeepEqual(a, b) {
		t.Error("the same seed gives another plan")
	}
	purchases, conflicts, hopeless, repeats := map[string]string{}, 0, 0, 0
	for _, one := range a {
		before, known := purchases[one.reference]
		switch {
		case one.reference == "":
			hopeless++
		case !known:
			purchases[one.reference] = string(one.body)
		case !one.bare && before == string(one.body) || string(one.body)[0] == ' ':
			repeats++
		default:
			conflicts++
		}
		if one.reference != "" && keyOf(one.reference).Account != one.account {
			t.Errorf("%s is of %s", one.reference, one.account)
		}
	}
	if len(purchases) != 500 || conflicts == 0 || hopeless == 0 || repeats == 0 {
		t.Errorf("%d purchases, %d conflicts, %d hopeless, %d repeats", len(purchases), conflicts, hopeless, repeats)
	}
}
