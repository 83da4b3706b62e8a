/** A text to begin with, and who wrote it. */
export interface ExampleText {
  label: string;
  text: string;
}

export const examples: readonly ExampleText[] = [
  {
    label: 'A journal of 1802',
    // Dorothy Wordsworth, Grasmere Journal, 15 April 1802.
    text: 'When we were in the woods beyond Gowbarrow park we saw a few daffodils close to the water side. We fancied that the lake had floated the seeds ashore and that the little colony had so sprung up. But as we went along there were more and yet more; and at last, under the boughs of the trees, we saw that there was a long belt of them along the shore, about the breadth of a country turnpike road. I never saw daffodils so beautiful. They grew among the mossy stones about and about them; some rested their heads upon these stones as on a pillow for weariness; and the rest tossed and reeled and danced, and seemed as if they verily laughed with the wind that blew upon them over the lake; they looked so gay, ever glancing, ever changing. This wind blew directly over the lake to them. There was here and there a little knot, and a few stragglers a few yards higher up; but they were so few as not to disturb the simplicity, unity and life of that one busy highway.',
  },
  {
    label: 'A language model’s essay',
    text: 'Sleep is one of the most important factors in maintaining good health and well-being. During sleep, the body repairs tissues, strengthens the immune system, and consolidates memories from the day. Without enough rest, people may experience difficulty concentrating, increased stress, and a greater risk of developing chronic conditions such as heart disease and diabetes. There are several steps that individuals can take to improve the quality of their sleep. First, it is important to establish a consistent routine by going to bed and waking up at the same time each day. Second, creating a comfortable environment that is cool, dark, and quiet can help the body relax. Finally, limiting the use of electronic devices before bedtime can reduce exposure to blue light, which can interfere with the production of melatonin. By making these simple changes, people can enjoy the many benefits of a good night’s sleep and improve their overall quality of life.',
  },
];
