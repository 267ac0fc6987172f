//! The one bounded map of this program. What other processes control (sockets, processes, addresses)
//! is remembered in it, so that memory has a limit whatever they do.

use std::hash::Hash;

use hashlink::LruCache;

/// A map with a maximum number of entries. When it is full, a new entry takes the place of the one that was
/// not used for the longest time.
pub struct Cache<K, V> {
    entries: LruCache<K, V>,
}

impl<K: Eq + Hash, V> Cache<K, V> {
    /// An empty cache for at most `capacity` entries; at least one.
    pub fn new(capacity: usize) -> Self {
        Self {
            entries: LruCache::new(capacity.max(1)),
        }
    }

    /// The value of a key, which becomes the one used last.
    pub fn get(&mut self, key: &K) -> Option<&V> {
        self.entries.get(key)
    }

    /// The value of a key. It does not count as a use.
    pub fn peek(&self, key: &K) -> Option<&V> {
        self.entries.peek(key)
    }

    /// Adds an entry, which becomes the one used last. Returns the entry that was removed for it, if the cache
    /// was full. A value that the key had before is dropped.
    pub fn insert(&mut self, key: K, value: V) -> Option<(K, V)> {
        let is_full = self.len() >= self.entries.capacity() && !self.entries.contains_key(&key);
        let evicted = is_full.then(|| self.entries.remove_lru()).flatten();
        self.entries.insert(key, value);
        evicted
    }

    /// Removes an entry and returns its value.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.entries.remove(key)
    }

    /// Removes the entry that was not used for the longest time.
    pub fn remove_oldest(&mut self) -> Option<(K, V)> {
        self.entries.remove_lru()
    }

    /// The entry that was not used for the longest time.
    pub fn oldest(&self) -> Option<(&K, &V)> {
        self.entries.iter().next()
    }

    /// Whether there is an entry for the key. It does not count as a use.
    pub fn contains(&self, key: &K) -> bool {
        self.entries.contains_key(key)
    }

    /// Every value, the one used last at the end.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.entries.iter().map(|(_, value)| value)
    }

    /// Every entry, the one used last at the end.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Removes every entry.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

impl<K, V> std::fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn past_the_bound_the_most_recently_used_are_kept() {
        let mut cache = Cache::new(3);
        for key in 0..3 {
            assert_eq!(cache.insert(key, key * 10), None);
        }
        assert_eq!(cache.get(&0), Some(&0));
        assert_eq!(cache.insert(3, 30), Some((1, 10)));
        assert_eq!(cache.insert(4, 40), Some((2, 20)));
        let kept: Vec<i32> = cache.iter().map(|(key, _)| *key).collect();
        assert_eq!(kept, [0, 3, 4]);
        assert_eq!(cache.len(), 3);
    }

    #[test]
    fn a_look_is_no_use_and_a_new_value_evicts_nobody() {
        let mut cache = Cache::new(2);
        cache.insert('a', 1);
        cache.insert('b', 2);
        assert_eq!(cache.peek(&'a'), Some(&1));
        assert!(cache.contains(&'a'));
        assert_eq!(cache.insert('b', 3), None);
        assert_eq!(cache.oldest(), Some((&'a', &1)));
        assert_eq!(cache.insert('c', 4), Some(('a', 1)));
        assert_eq!(cache.remove(&'b'), Some(3));
        assert_eq!(cache.remove_oldest(), Some(('c', 4)));
        assert_eq!(cache.remove_oldest(), None);
    }

    #[test]
    fn a_cache_for_nothing_holds_one() {
        let mut cache = Cache::new(0);
        cache.insert(1, ());
        assert_eq!(cache.insert(2, ()), Some((1, ())));
        assert_eq!(cache.values().count(), 1);
        cache.clear();
        assert_eq!(cache.len(), 0);
    }
}
